# What R says of published data sets, split over sites: Rscript reference.R (in this folder) writes
# the data (*.csv) and the expected values (reference.json), with the versions that made them.
# Data: package survival, see there for sources. veteran: Kalbfleisch and Prentice (1980);
# heart: Crowley and Hu, JASA 72 (1977) 27; lung: Loprinzi et al., J Clin Oncol 12 (1994) 601.
suppressPackageStartupMessages({library(survival); library(MASS)})

number <- function(x) ifelse(is.na(x), "null", sprintf("%.17g", x))
array <- function(x) paste0("[", paste(number(as.vector(x)), collapse = ", "), "]")
text <- function(x) paste0('"', x, '"')
object <- function(x) paste0("{", paste0(text(names(x)), ": ", unlist(x), collapse = ", "), "}")

# k unequal parts, one site of one patient (-1), one of patients without an event (-2)
split_over <- function(k, event) {
  n <- length(event); i <- seq_len(n) - 1
  if (k == 1) return(rep(0, n))
  site <- (k * ((i * 37) %% n)^2) %/% n^2
  site[event == 0 & i %% 3 == 1] <- -2
  site[1] <- -1
  site
}

cox <- function(name, data, formula, sites, ties, id = NULL) {
  data$site <- sites
  formula <- update(formula, . ~ . + strata(site))
  environment(formula) <- environment()
  data$id. <- if (is.null(id)) seq_len(nrow(data)) else id
  control <- coxph.control(eps = 1e-13, toler.chol = 1e-14, iter.max = 60)
  fit <- coxph(formula, data, ties = ties, cluster = id., control = control)
  trend <- lapply(c("identity", "log"), function(g) cox.zph(fit, transform = g, terms = FALSE))
  object(list(
    data = text(name), ties = text(ties), site = array(sites),
    estimate = array(coef(fit)), se = array(sqrt(diag(fit$naive.var))),
    robust_se = array(sqrt(diag(fit$var))), log_likelihood = array(fit$loglik),
    score_test = number(fit$score), wald_test = number(
      drop(coef(fit) %*% solve(fit$naive.var, coef(fit)))),
    n = number(fit$n), events = number(fit$nevent),
    identity = array(trend[[1]]$table[, 1]), log = array(trend[[2]]$table[, 1])))
}

# one baseline for all; times are whole multiples of the rehearsal's step
pooled <- function(name, data, formula, ties) {
  environment(formula) <- environment()
  control <- coxph.control(eps = 1e-13, toler.chol = 1e-14, iter.max = 60)
  fit <- coxph(formula, data, ties = ties, control = control)
  trend <- cox.zph(fit, transform = "identity", terms = FALSE)
  object(list(
    data = text(name), ties = text(ties), estimate = array(coef(fit)),
    se = array(sqrt(diag(fit$var))), log_likelihood = array(fit$loglik),
    score_test = number(fit$score), identity = array(trend$table[, 1])))
}

complete <- function(data, columns) data[complete.cases(data[, columns]), columns]
veteran$celltype <- as.character(veteran$celltype)
veteran <- veteran[, c("trt", "celltype", "time", "status", "karno", "age", "prior")]
heart$transplant <- as.numeric(as.character(heart$transplant))
heart <- heart[, c("start", "stop", "event", "age", "year", "surgery", "transplant", "id")]
lung$status <- lung$status - 1
names(lung)[6] <- "ecog"; names(lung)[10] <- "loss"
lung <- complete(lung, c("inst", "time", "status", "age", "sex", "ecog", "loss"))
for (name in c("veteran", "heart", "lung"))
  write.csv(get(name), paste0(name, ".csv"), row.names = FALSE, quote = FALSE)

veteran$celltype <- factor(veteran$celltype, c("squamous", "smallcell", "adeno", "large"))
rows <- c()
for (ties in c("efron", "breslow")) {
  for (k in c(1, 3, 5, 19)) {
    rows <- c(rows, cox("veteran", veteran, Surv(time, status) ~ trt + celltype + karno + age,
      split_over(k, veteran$status), ties))
    rows <- c(rows, cox("veteran by celltype", veteran,
      Surv(time, status) ~ trt + karno + age + strata(celltype),
      split_over(k, veteran$status), ties))
    people <- split_over(k, tapply(heart$event, heart$id, max))
    rows <- c(rows, cox("heart", heart,
      Surv(start, stop, event) ~ age + year + surgery + transplant,
      people[match(heart$id, unique(heart$id))], ties, heart$id))
  }
  rows <- c(rows, cox("lung", lung, Surv(time, status) ~ age + sex + ecog + loss, lung$inst, ties))
}
together <- c()
for (ties in c("efron", "breslow")) together <- c(together,
  pooled("veteran", veteran, Surv(time, status) ~ trt + celltype + karno + age, ties),
  pooled("veteran by celltype", veteran,
    Surv(time, status) ~ trt + karno + age + strata(celltype), ties),
  pooled("heart", heart, Surv(start, stop, event) ~ age + year + surgery + transplant, ties),
  pooled("lung", lung, Surv(time, status) ~ age + sex + ecog + loss, ties))
cat("{\n \"R\": ", text(paste(R.version$major, R.version$minor, sep = ".")),
  ",\n \"survival\": ", text(as.character(packageVersion("survival"))),
  ",\n \"cox\": [\n  ", paste(rows, collapse = ",\n  "), "\n ],\n \"pooled\": [\n  ",
  paste(together, collapse = ",\n  "), "\n ]\n}\n",
  sep = "", file = "reference.json")

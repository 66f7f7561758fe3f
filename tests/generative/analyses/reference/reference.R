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
# generalized linear models; robust errors by row (HC0) and by cluster (CR0), without a factor
glm_of <- function(name, data, formula, family, cluster, start = NULL) {
  environment(formula) <- environment()
  fit <- glm(formula, family, data, epsilon = 1e-15, maxit = 200, start = start)
  if (family$link != "identity") for (again in 1:3)
    fit <- glm(formula, family, data, epsilon = 1e-15, maxit = 200, start = coef(fit))
  score <- model.matrix(fit) * residuals(fit, "working") * weights(fit, "working")
  bread <- summary(fit)$cov.unscaled
  error <- function(u) sqrt(diag(bread %*% crossprod(u) %*% bread))
  table <- summary(fit)$coefficients
  object(list(
    data = text(name), family = text(family$family), link = text(family$link),
    estimate = array(coef(fit)), se = array(table[, 2]), p = array(table[, 4]),
    hc0 = array(error(score)), cr0 = array(error(rowsum(score, cluster))),
    log_likelihood = number(logLik(fit)), deviance = number(deviance(fit)),
    null_deviance = number(fit$null.deviance), df_residual = number(df.residual(fit)),
    dispersion = number(sum(residuals(fit, "pearson")^2) / df.residual(fit))))
}

# birthwt: Hosmer and Lemeshow, Applied Logistic Regression (1989); quine: Aitkin, Appl Stat 27
# (1978) 223; Insurance: Baxter, Coutts and Ross (1980); all in package MASS
birthwt$race <- c("white", "black", "other")[birthwt$race]
birthwt$mother <- seq_len(nrow(birthwt)) %/% 3
quine$child <- seq_len(nrow(quine)) %/% 4
insurance <- data.frame(district = paste0("d", Insurance$District), age = as.character(Insurance$Age),
  holders = Insurance$Holders, claims = Insurance$Claims, office = seq_len(64) %/% 2)
quine <- data.frame(lapply(quine, function(x) if (is.factor(x)) as.character(x) else x))
for (name in c("birthwt", "quine", "insurance"))
  write.csv(get(name), paste0(name, ".csv"), row.names = FALSE, quote = FALSE)
birthwt$race <- factor(birthwt$race, c("white", "black", "other"))
insurance$log <- log(insurance$holders)
insurance$age <- factor(insurance$age, c("<25", "25-29", "30-35", ">35"))
models <- c(
  glm_of("birthwt", birthwt, bwt ~ age + lwt + smoke + race, gaussian(), birthwt$mother),
  glm_of("birthwt", birthwt, low ~ age + lwt + smoke + race, binomial("logit"), birthwt$mother),
  glm_of("birthwt", birthwt, low ~ age + lwt + smoke + race, binomial("cloglog"), birthwt$mother),
  glm_of("birthwt", birthwt, low ~ smoke + race, binomial("log"), birthwt$mother, c(-1.5, 0, 0, 0)),
  glm_of("quine", quine, Days ~ Eth + Sex + Age + Lrn, poisson(), quine$child),
  glm_of("insurance", insurance, claims ~ district + age + offset(log), poisson(),
    insurance$office))
# survival curves (log-log limits) and log-rank tests
curves <- function(name, data, formula) {
  fit <- summary(survfit(formula, data, conf.type = "log-log"))
  test <- survdiff(formula, data)
  object(list(
    data = text(name), group = paste0("[", paste(text(sub(".*=", "", fit$strata)), collapse = ", "), "]"),
    time = array(fit$time), at_risk = array(fit$n.risk), survival = array(fit$surv),
    lower = array(fit$lower), upper = array(fit$upper), chisq = number(test$chisq),
    observed = array(test$obs), expected = array(test$exp)))
}
lung$sex <- factor(lung$sex)
km <- c(curves("veteran", veteran, Surv(time, status) ~ celltype),
  curves("lung", lung, Surv(time, status) ~ sex))
cat("{\n \"R\": ", text(paste(R.version$major, R.version$minor, sep = ".")),
  ",\n \"survival\": ", text(as.character(packageVersion("survival"))),
  ",\n \"MASS\": ", text(as.character(packageVersion("MASS"))),
  ",\n \"cox\": [\n  ", paste(rows, collapse = ",\n  "), "\n ],\n \"pooled\": [\n  ",
  paste(together, collapse = ",\n  "), "\n ],\n \"glm\": [\n  ",
  paste(models, collapse = ",\n  "), "\n ],\n \"curves\": [\n  ",
  paste(km, collapse = ",\n  "), "\n ]\n}\n",
  sep = "", file = "reference.json")
